"""A run: the loop, what is trained and measured, and the folder that it leaves."""
