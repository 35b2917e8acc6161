"""The machine: files, devices, signals, memory, versions."""
