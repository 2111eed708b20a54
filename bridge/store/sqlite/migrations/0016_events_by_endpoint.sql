-- The registrations and changes of provisioning of one endpoint are read without walking all events. Outcomes are left
-- out: there is one for each message, and messages have an index by endpoint of their own.

CREATE INDEX event_of_endpoint ON event (endpoint) WHERE type <> 'message.outcome';
