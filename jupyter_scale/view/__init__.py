"""What a person sees in a cell."""
