"""The paper's figures: `draw_…(result) -> Figure`, in one style and without pyplot's global state."""
