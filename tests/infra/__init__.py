"""What is deployed, checked without Azure."""
