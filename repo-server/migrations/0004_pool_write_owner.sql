-- Which server process puts the file into the pool: its machine and its data folder, which no other one uses. When it starts
-- again, what it had begun was cut off.
ALTER TABLE pool_writes ADD COLUMN owner TEXT NOT NULL DEFAULT '';
