//! Layer: ioloop.
//!
//! What the log is asked. `schema.sql` has the log.

use tokio_postgres::{Client, Error};

use super::options::PostgresOptions;

const SCHEMA: &str = include_str!("schema.sql");

/// The log itself, if it is not as it was made by a whole run of the schema.
const IS_COMPLETE: &str = "SELECT to_regclass('waterspout.log') IS NOT NULL
    AND to_regclass('waterspout.channels') IS NOT NULL AND to_regclass('waterspout.messages') IS NOT NULL
    AND to_regproc('waterspout.tidy') IS NOT NULL";

/// Publishes many messages in one transaction, those of each channel in their order. Channels come in an order that is the same
/// for all publishers, because each is locked: otherwise they would wait for each other.
pub const PUBLISH: &str = "SELECT n, waterspout.publish(channel, data::json, key, token, $5::bigint), epoch
    FROM waterspout.log, (
        SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[]) WITH ORDINALITY
            AS jobs (channel, data, key, token, n)
        ORDER BY channel, n
    ) AS ordered";

/// The largest id there is.
pub const LARGEST: &str = "SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM waterspout.messages_id_seq";

/// What came behind the positions, at most so many of each channel. There is at least one row for each.
pub const READ: &str = "SELECT n, epoch, coalesce(dropped, forgotten), id, data::text, key
    FROM waterspout.log
    CROSS JOIN unnest($1::text[], $2::bigint[]) WITH ORDINALITY AS due (channel, position, n)
    LEFT JOIN waterspout.channels ON name = due.channel
    LEFT JOIN LATERAL (
        SELECT id, data, key FROM waterspout.messages
        WHERE messages.channel = due.channel AND id > position ORDER BY id LIMIT $3::bigint
    ) AS news ON true
    ORDER BY n, id";

/// The newest messages of a channel, newest first: so many, so many bytes, none older than so many milliseconds. Those in front
/// of them come without data. There is at least one row.
pub const BEGIN: &str = "SELECT epoch, coalesce(dropped, forgotten), id, key,
        CASE WHEN place <= $2 AND (bytes <= $3::bigint OR place = 1) AND published > now() - $4::float8 * interval '1 ms'
            THEN data END
    FROM waterspout.log
    LEFT JOIN waterspout.channels ON name = $1
    LEFT JOIN (
        SELECT id, data::text, key, published, row_number() OVER newest AS place,
            sum(octet_length(data::text)) OVER newest AS bytes
        FROM waterspout.messages WHERE channel = $1 WINDOW newest AS (ORDER BY id DESC) ORDER BY id DESC LIMIT $2::bigint + 1
    ) AS history ON true
    ORDER BY id DESC";

pub const LISTEN: &str = "LISTEN waterspout";

pub const FOLLOW: &str = "SELECT waterspout.follow($1)";

pub const TIDY: &str = "SELECT waterspout.tidy()";

/// Makes the log if it is not there, and has it keep what the options say.
pub async fn prepare_log(client: &Client, options: &PostgresOptions) -> Result<(), Error> {
    if !is_complete(client).await? {
        // Others may be doing the same. The lock is not that of a transaction, which would not see what they have made.
        client.batch_execute("SELECT pg_advisory_lock(hashtextextended('waterspout log', 0))").await?;
        if !is_complete(client).await? {
            client.batch_execute(SCHEMA).await?;
        }
        client.batch_execute("SELECT pg_advisory_unlock(hashtextextended('waterspout log', 0))").await?;
    }
    let (messages, age) = (options.max_messages, options.max_age.as_millis() as f64);
    let keep = "UPDATE waterspout.log SET max_messages = $1, max_age = $2::float8 * interval '1 ms'
        WHERE max_messages <> $1 OR max_age <> $2::float8 * interval '1 ms'";
    client.execute(keep, &[&messages, &age]).await.map(drop)
}

async fn is_complete(client: &Client) -> Result<bool, Error> {
    Ok(client.query_one(IS_COMPLETE, &[]).await?.get(0))
}
