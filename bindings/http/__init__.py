"""HTTP as bindings need it: a lean server for what networks post, and a lean client for what they are asked."""
