-- The log of the messages of all hubs that use this database. The broker makes it where it is missing.
--
-- Other programs publish by SELECT waterspout.publish('news', '{"text":"hi"}'), a trigger as well. The message is there when
-- their transaction commits, and not at all when it is rolled back. Until then other publishers of the channel wait, and each is a
-- whole hub: keep such transactions short.

CREATE SCHEMA IF NOT EXISTS waterspout;

DROP TABLE IF EXISTS waterspout.log, waterspout.channels, waterspout.messages;

-- One row.
CREATE TABLE waterspout.log (
    -- Random, so that positions in a log that was made again are told from those in the one before. To be changed by hand
    -- after a switch to a standby that had fallen behind: it gives ids to other messages.
    epoch bigint NOT NULL DEFAULT ('x' || right(gen_random_uuid()::text, 12))::bit(48)::bigint | (1::bigint << 47),
    -- No channel that has been forgotten had a message with a larger id.
    forgotten bigint NOT NULL DEFAULT 0,
    -- What is kept of each channel: so many messages at least, and a quarter more at most; none that are older.
    max_messages integer NOT NULL DEFAULT 1000,
    max_age interval NOT NULL DEFAULT '1 hour'
);
CREATE UNIQUE INDEX one_row ON waterspout.log ((true));
INSERT INTO waterspout.log DEFAULT VALUES;

CREATE TABLE waterspout.channels (
    name text PRIMARY KEY,
    -- The id of its newest message.
    newest bigint,
    -- No message with a larger id has been deleted.
    dropped bigint,
    -- How many messages there are, about.
    kept integer NOT NULL DEFAULT 0,
    -- When it was last published to, or known to be followed.
    used timestamptz NOT NULL DEFAULT now()
) WITH (fillfactor = 50);

CREATE TABLE waterspout.messages (
    channel text NOT NULL,
    id bigint NOT NULL GENERATED ALWAYS AS IDENTITY,
    data json NOT NULL,
    key text,
    -- Chosen by the publisher, the same for every attempt.
    token text UNIQUE,
    published timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (channel, id)
);
CREATE INDEX by_time ON waterspout.messages USING brin (published);

-- Publishes a message, and returns its id.
--
-- sent_after is for a message that was sent before, when the largest id was that. If it might have been taken, and deleted
-- since, nobody can tell any more, which is the error WS001.
CREATE OR REPLACE FUNCTION waterspout.publish(
    channel_name text, message json, message_key text DEFAULT NULL,
    message_token text DEFAULT NULL, sent_after bigint DEFAULT NULL
) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    settings waterspout.log;
    known waterspout.channels;
    new_id bigint;
BEGIN
    -- Held until the transaction ends: ids of a channel become visible in their order.
    PERFORM pg_advisory_xact_lock(hashtextextended('waterspout channel ' || channel_name, 0));
    -- A server that commits before it has written would, after a crash, give the ids of lost messages to others.
    PERFORM set_config('synchronous_commit', 'on', true) WHERE current_setting('synchronous_commit') = 'off';

    SELECT id INTO new_id FROM waterspout.messages WHERE token = message_token;
    IF FOUND THEN
        RETURN new_id;
    END IF;

    INSERT INTO waterspout.channels (name) VALUES (channel_name) ON CONFLICT (name) DO UPDATE SET used = now();
    -- A statement of its own, which sees what has just been forgotten.
    UPDATE waterspout.channels SET newest = forgotten, dropped = forgotten FROM waterspout.log
        WHERE name = channel_name AND dropped IS NULL;
    SELECT * INTO STRICT known FROM waterspout.channels WHERE name = channel_name;
    IF known.dropped > sent_after THEN
        RAISE EXCEPTION 'whether the message was published cannot be told any more' USING ERRCODE = 'WS001';
    END IF;

    INSERT INTO waterspout.messages (channel, data, key, token)
        VALUES (channel_name, message, message_key, message_token) RETURNING id INTO new_id;
    known.kept := known.kept + 1;
    SELECT * INTO STRICT settings FROM waterspout.log;
    IF known.kept > settings.max_messages + settings.max_messages / 4 THEN
        known.kept := settings.max_messages;
        SELECT id INTO known.dropped FROM waterspout.messages
            WHERE channel = channel_name ORDER BY id DESC OFFSET settings.max_messages LIMIT 1;
        DELETE FROM waterspout.messages WHERE channel = channel_name AND id <= known.dropped;
    END IF;
    UPDATE waterspout.channels SET newest = new_id, kept = known.kept, dropped = coalesce(known.dropped, dropped)
        WHERE name = channel_name;

    -- It only says where to look: a payload is limited to 8,000 bytes. Without a name everything is looked at.
    PERFORM pg_notify('waterspout', CASE WHEN octet_length(channel_name) < 4000 THEN channel_name ELSE '' END);
    RETURN new_id;
END $$;

-- Says that channels are followed, so that they are not forgotten. It fails rather than to wait for the transaction of somebody
-- who publishes to one for the first time.
CREATE OR REPLACE FUNCTION waterspout.follow(names text[]) RETURNS void LANGUAGE sql SET lock_timeout = '100ms' AS $$
    INSERT INTO waterspout.channels (name) SELECT unnest(names) ORDER BY 1 ON CONFLICT DO NOTHING;
    UPDATE waterspout.channels SET newest = forgotten, dropped = forgotten FROM waterspout.log
        WHERE name = ANY (names) AND dropped IS NULL;
    UPDATE waterspout.channels SET used = now() WHERE name IN (
        SELECT name FROM waterspout.channels, waterspout.log
        WHERE name = ANY (names) AND used < now() - max_age / 2 FOR UPDATE OF channels SKIP LOCKED
    );
$$;

-- Deletes messages that are too old, and forgets channels that have none and are not followed.
CREATE OR REPLACE FUNCTION waterspout.tidy() RETURNS void LANGUAGE sql AS $$
    WITH expired AS (
        SELECT channel, id FROM waterspout.messages, waterspout.log WHERE published < now() - max_age LIMIT 10000
    ), mine AS (
        SELECT name FROM waterspout.channels WHERE name IN (SELECT channel FROM expired) FOR UPDATE SKIP LOCKED
    ), gone AS (
        DELETE FROM waterspout.messages WHERE (channel, id) IN (SELECT channel, id FROM expired JOIN mine ON name = channel)
        RETURNING channel, id
    ), counted AS (
        SELECT channel, max(id) AS id, count(*)::integer AS messages FROM gone GROUP BY channel
    )
    UPDATE waterspout.channels SET dropped = greatest(dropped, counted.id), kept = greatest(kept - counted.messages, 0)
        FROM counted WHERE name = counted.channel;

    WITH gone AS (
        DELETE FROM waterspout.channels WHERE name IN (
            SELECT name FROM waterspout.channels, waterspout.log
            WHERE used < now() - max_age AND NOT EXISTS (SELECT FROM waterspout.messages WHERE channel = name)
            FOR UPDATE OF channels SKIP LOCKED
        ) RETURNING newest
    )
    UPDATE waterspout.log SET forgotten = newest FROM (SELECT max(newest) AS newest FROM gone) AS latest
        WHERE newest > forgotten;
$$;
