"""What people install. Not called `packaging`: a folder of that name in the path hides the package that pip uses."""
