"""A run as a page that needs no other file: its numbers, curves, pictures and settings."""
