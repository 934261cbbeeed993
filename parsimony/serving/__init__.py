"""A bundle over HTTP: conventions that clients already speak, side by side, and a server that follows production."""
