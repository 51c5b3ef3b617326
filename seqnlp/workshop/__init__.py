"""Where plugins are made: complete packages from templates, one for each kind of part."""
