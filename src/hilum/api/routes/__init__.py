"""One noun a file: its paths and the bodies they take. `router` is found by walking this package."""
