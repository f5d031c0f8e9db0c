"""One file a command: read the input, build what it names, call the package, say what to do next."""
