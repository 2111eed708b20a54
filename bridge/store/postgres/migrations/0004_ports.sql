-- The application port (RDS) of the message that a downlink answers.
ALTER TABLE downlink ADD COLUMN port TEXT;
