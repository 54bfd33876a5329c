"""What is deployed, checked without Azure; the real compiler checks the types, in CI."""
