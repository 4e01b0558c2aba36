"""What every part needs of the machine: memory, timing, random numbers, files of tensors, classes by their name."""
