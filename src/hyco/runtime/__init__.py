"""What a run needs of the machine: memory, garbage collection, monitoring, random streams and files of tensors."""
