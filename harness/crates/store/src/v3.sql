-- run.sqlite, version 3: the I/O backend. Earlier runs always used epoll.

ALTER TABLE run ADD COLUMN engine TEXT NOT NULL DEFAULT 'epoll';
