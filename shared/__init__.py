"""What more than one function needs; knows no function."""
