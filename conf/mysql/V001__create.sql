-- LTS on MySQL 8 or MariaDB 10.6 and later: the tables of version 1.
--
-- A JobTracker applies this file by itself when configs.jdbc.create.db.table=true; else apply it by hand to an
-- empty database. Each statement may run twice: the JobTracker may have died half-way. The last one records the
-- version.
--
-- Texts are VARBINARY: kept and compared byte for byte, without the padding rules of collations. Job ids are the 16
-- bytes of the UUID. `record` is the rest of a row (proto/lts/store/records.proto behind two bytes of format and
-- state); a column stands beside it only where a statement looks for it. Times are UTC milliseconds.

-- One row: what this database was created for. `cluster_id` is empty until a JobTracker has filled it in.
CREATE TABLE IF NOT EXISTS lts_store (
  id             TINYINT UNSIGNED  NOT NULL PRIMARY KEY,
  schema_version INT               NOT NULL,
  cluster_id     VARBINARY(64)     NOT NULL,
  cluster_name   VARBINARY(256)    NOT NULL,
  partitions     SMALLINT UNSIGNED NOT NULL,
  hash_name      VARBINARY(64)     NOT NULL
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 ROW_FORMAT=DYNAMIC;

-- Who owns a partition. Every commit of an owner moves (epoch, commit_no - 1) to (epoch, commit_no) first.
CREATE TABLE IF NOT EXISTS lts_partition (
  part             SMALLINT UNSIGNED NOT NULL PRIMARY KEY,
  owner            VARBINARY(512)    NOT NULL,
  owner_address    VARBINARY(512)    NOT NULL,
  epoch            BIGINT UNSIGNED   NOT NULL,
  commit_no        BIGINT UNSIGNED   NOT NULL,
  next_seq         BIGINT UNSIGNED   NOT NULL,
  clean            TINYINT UNSIGNED  NOT NULL,
  lease_end_ms     BIGINT            NOT NULL,
  asker            VARBINARY(512)    NOT NULL,
  asker_assignment BIGINT UNSIGNED   NOT NULL
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 ROW_FORMAT=DYNAMIC;

-- Rows by group, kept as rows change. `what`: 0 jobs, 1 schedules, 16 + state: ended in that state.
CREATE TABLE IF NOT EXISTS lts_counter (
  part SMALLINT UNSIGNED NOT NULL,
  grp  VARBINARY(256)    NOT NULL,
  what TINYINT UNSIGNED  NOT NULL,
  n    BIGINT            NOT NULL,
  PRIMARY KEY (part, grp, what)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 ROW_FORMAT=DYNAMIC;

-- Jobs that wait or run. `pool`: 0 waiting, 1 marked running, 2 suspended; plus 64 when the row is resident (always
-- in its owner's memory). `commit_no` is the commit that wrote the row last.
CREATE TABLE IF NOT EXISTS lts_job (
  part        SMALLINT UNSIGNED NOT NULL,
  job_id      BINARY(16)        NOT NULL,
  cycle       BIGINT            NOT NULL,
  grp         VARBINARY(256)    NOT NULL,
  task_id     VARBINARY(256)    NOT NULL,
  pool        TINYINT UNSIGNED  NOT NULL,
  priority    INT               NOT NULL,
  due_ms      BIGINT            NOT NULL,
  seq         BIGINT UNSIGNED   NOT NULL,
  accepted_ms BIGINT            NOT NULL,
  commit_no   BIGINT UNSIGNED   NOT NULL,
  record      MEDIUMBLOB        NOT NULL,
  PRIMARY KEY (part, job_id, cycle),
  KEY by_task (part, grp, task_id),
  KEY by_ready (part, pool, grp, priority, due_ms, seq),
  KEY by_due (part, pool, grp, due_ms, seq)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 ROW_FORMAT=DYNAMIC;

-- Schedules that can still fire.
CREATE TABLE IF NOT EXISTS lts_schedule (
  part        SMALLINT UNSIGNED NOT NULL,
  job_id      BINARY(16)        NOT NULL,
  grp         VARBINARY(256)    NOT NULL,
  task_id     VARBINARY(256)    NOT NULL,
  state       TINYINT UNSIGNED  NOT NULL,
  accepted_ms BIGINT            NOT NULL,
  record      MEDIUMBLOB        NOT NULL,
  PRIMARY KEY (part, job_id),
  UNIQUE KEY by_task (part, grp, task_id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 ROW_FORMAT=DYNAMIC;

-- TaskTrackers that were given, or may have been given, work.
CREATE TABLE IF NOT EXISTS lts_worker (
  part     SMALLINT UNSIGNED NOT NULL,
  grp      VARBINARY(256)    NOT NULL,
  identity VARBINARY(512)    NOT NULL,
  record   BLOB              NOT NULL,
  PRIMARY KEY (part, grp, identity)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 ROW_FORMAT=DYNAMIC;

-- History: one row per attempt that ended, inserted once. `final`: it ended its cycle.
CREATE TABLE IF NOT EXISTS lts_attempt (
  part     SMALLINT UNSIGNED NOT NULL,
  job_id   BINARY(16)        NOT NULL,
  cycle    BIGINT            NOT NULL,
  attempt  INT               NOT NULL,
  grp      VARBINARY(256)    NOT NULL,
  task_id  VARBINARY(256)    NOT NULL,
  state    TINYINT UNSIGNED  NOT NULL,
  final    TINYINT UNSIGNED  NOT NULL,
  ended_ms BIGINT            NOT NULL,
  record   MEDIUMBLOB        NOT NULL,
  PRIMARY KEY (part, job_id, cycle, attempt),
  KEY by_end (part, ended_ms),
  KEY by_group (part, grp, ended_ms),
  KEY by_task (part, grp, task_id, ended_ms)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 ROW_FORMAT=DYNAMIC;

-- Lines of the life-cycle and business log. A repeat of (attempt, line) is told by the key, so the table cannot be
-- partitioned by day; old lines go by `by_time`.
CREATE TABLE IF NOT EXISTS lts_job_log (
  job_id  BINARY(16)      NOT NULL,
  cycle   BIGINT          NOT NULL,
  attempt INT             NOT NULL,
  line    BIGINT UNSIGNED NOT NULL,
  time_ms BIGINT          NOT NULL,
  record  MEDIUMBLOB      NOT NULL,
  PRIMARY KEY (job_id, cycle, attempt, line),
  KEY by_time (time_ms)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 ROW_FORMAT=DYNAMIC;

-- Ends that a client group waits to be told of, in the order of delivery.
CREATE TABLE IF NOT EXISTS lts_feedback (
  part         SMALLINT UNSIGNED NOT NULL,
  submit_group VARBINARY(256)    NOT NULL,
  seq          BIGINT UNSIGNED   NOT NULL,
  job_id       BINARY(16)        NOT NULL,
  cycle        BIGINT            NOT NULL,
  attempt      INT               NOT NULL,
  record       MEDIUMBLOB        NOT NULL,
  PRIMARY KEY (part, submit_group, seq, job_id, cycle, attempt)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 ROW_FORMAT=DYNAMIC;

INSERT INTO lts_store (id, schema_version, cluster_id, cluster_name, partitions, hash_name)
  VALUES (1, 1, '', '', 0, '') ON DUPLICATE KEY UPDATE id = id;
