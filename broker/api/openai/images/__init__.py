"""Images: made and waited for."""
