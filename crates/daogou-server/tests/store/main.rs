//! The store on both databases. PostgreSQL is the one of `DAOGOU_TEST_POSTGRES`, by default
//! `postgres://root@localhost/test`; each test makes a schema of its own there and removes it. Where it cannot be
//! reached, its tests say so and are skipped, unless `DAOGOU_REQUIRE_POSTGRES=1`.

mod kill;
mod place;
mod replicas;
mod suite;
mod tables;
mod trouble;
