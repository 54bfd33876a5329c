"""What other systems' webhooks say becomes an alert, an edit of it, or nothing."""
