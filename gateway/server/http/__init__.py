"""HTTP: the application and its routes, who may call, how much at once, what requests and responses look like."""
