-- run.sqlite, version 3: what moved the bytes of the load. Before, there was epoll alone.

ALTER TABLE run ADD COLUMN engine TEXT NOT NULL DEFAULT 'epoll';
