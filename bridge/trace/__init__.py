"""What passes through one endpoint while somebody looks on: a tap on both hops, and a bounded ring for each reader."""
