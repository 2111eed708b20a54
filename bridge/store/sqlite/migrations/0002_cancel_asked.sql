-- That a person asked to cancel a message outlives the process that was asked (R11).
ALTER TABLE downlink ADD COLUMN cancel_asked INTEGER NOT NULL DEFAULT 0;
