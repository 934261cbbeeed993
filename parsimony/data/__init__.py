"""Reading labelled texts exactly as written, and cutting them into train, search and sealed."""
