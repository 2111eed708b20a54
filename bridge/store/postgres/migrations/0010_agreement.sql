-- What a node's settings say of things that all nodes must have alike, as JSON; '' of a node of an older release.
ALTER TABLE node ADD COLUMN agreement TEXT NOT NULL DEFAULT '';
