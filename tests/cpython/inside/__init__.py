"""What runs in the interpreter under test."""
