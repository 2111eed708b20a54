-- Quotas that the endpoints of several nodes share ([cluster]): what each node may use in the present period.

-- One budget for each quota and group. `starts`: the wall-clock second at which its period began, by this server's clock.
-- `before_…`: what was used in it outside all allotments.
CREATE TABLE quota_budget (
    key TEXT COLLATE "C" PRIMARY KEY,
    starts BIGINT NOT NULL,
    before_messages BIGINT NOT NULL,
    before_bytes BIGINT NOT NULL
);

-- What a node may use of a budget, with what it said to have used. `number`: that of the node's request. A node that died
-- keeps its row until the period ends.
CREATE TABLE allotment (
    key TEXT COLLATE "C" NOT NULL,
    incarnation TEXT COLLATE "C" NOT NULL,
    number BIGINT NOT NULL,
    messages BIGINT NOT NULL,
    bytes BIGINT NOT NULL,
    used_messages BIGINT NOT NULL,
    used_bytes BIGINT NOT NULL,
    PRIMARY KEY (key, incarnation)
) WITH (fillfactor = 50);
