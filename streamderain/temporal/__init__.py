"""What neighbouring frames know."""
