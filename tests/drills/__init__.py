"""What happens when something goes wrong with the servers, tried by hand: `make drill`."""
