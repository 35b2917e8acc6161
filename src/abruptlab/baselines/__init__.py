"""Other ways to complete a low-rank matrix, all behind one protocol (`completer.Completer`)."""
