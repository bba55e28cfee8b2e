"""What gaq-listen costs and gains, measured beside floors and peers."""
