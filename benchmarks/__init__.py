"""Speed, side by side with the reference."""
