"""The candidates, their predicted sizes, and which student is trained next."""
