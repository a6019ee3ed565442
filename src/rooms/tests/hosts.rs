//! Who is host.

use super::{check, config, memory};
use crate::config::{HostAuth, SyncWriters};
use crate::rooms::RoomsConfig;

#[test]
fn only_the_rooms_host_id_makes_a_host() {
    check(
        memory(),
        r"
        0 given: R host=ann
        1 eve: join R as eve host
            eve < connected eve R
            eve < room R host=ann [eve]
            eve = now
        2 eve: sync d
            eve = Only the host can sync the document
        3 ann: join R as ann host
            ann < connected ann R
            ann < room R host=ann [eve ann*]
            eve < joined ann* at 3
            ann = now
        4 ann: sync d
            eve < document d
            ann = now
        ",
    );
}

#[test]
fn host_rights_belong_to_a_connection_and_show_on_the_peer() {
    check(
        memory(),
        r"
        0 given: R host=ann
        1 guest: join R as ann
            guest < connected ann R
            guest < room R host=ann [ann]
            guest = now
        2 host: join R as ann host
            host < connected ann R
            host < room R host=ann [ann*]
            host = now
        3 guest: sync g
            guest = Only the host can sync the document
        4 host: sync h
            guest < document h
            host = now
        5 host: gone
        6 http: view R
            http = R host=ann [ann]
        7 bob: join R as bob
            bob < connected bob R
            bob < room R host=ann [ann bob]
            bob < document h
            guest < joined bob at 7
            bob = now
        ",
    );
}

#[test]
fn a_guarded_room_asks_for_the_token() {
    check(
        memory(),
        r"
        0 http: create R by ann guarded token=7
            + R created
            http = created R id=id-1 host=ann
        1 a: join R as ann host
            a < connected ann R
            a < room R host=ann [ann]
            a = now
        2 a: join R as ann host token=8
            a < connected ann R
            a < room R host=ann [ann]
            a = now
        3 a: join R as eve host token=7
            a < connected eve R
            a < room R host=ann [eve]
            a = now
        4 a: join R as ann token=7
            a < connected ann R
            a < room R host=ann [ann]
            a = now
        5 a: join R as ann host token=7
            a < connected ann R
            a < room R host=ann [ann*]
            a = now
        ",
    );
}

#[test]
fn the_server_can_ask_for_the_token_where_there_is_one() {
    check(
        RoomsConfig { host_auth: HostAuth::Token, auto_create: true, ..memory() },
        r"
        0 http: create R by ann token=7
            + R created
            http = created R id=id-1 host=ann
        1 a: join R as ann host
            a < connected ann R
            a < room R host=ann [ann]
            a = now
        2 a: join R as ann host token=7
            a < connected ann R
            a < room R host=ann [ann*]
            a = now
        3 a: join AUTO as ann host
            + AUTO created
            a < connected ann AUTO
            a < room AUTO host=ann [ann*]
            a = now
        ",
    );
}

#[test]
fn an_unclaimed_room_takes_the_first_host_who_comes() {
    check(
        RoomsConfig { auto_create: true, ..memory() },
        r"
        0 ann: join R as ann
            + R created
            ann < connected ann R
            ann < room R host= [ann]
            ann = now
        1 bob: join R as bob host
            bob < connected bob R
            bob < room R host=bob [ann bob*]
            ann < joined bob* at 1
            bob = now
        2 ann: join R as ann host
            ann < connected ann R
            ann < room R host=bob [ann bob*]
            ann = now
        ",
    );
}

#[test]
fn claiming_a_room_is_stored() {
    check(
        config(),
        r"
        0 ann: join OLD as ann host
            ? OLD
            ann = waits
        5 store: OLD has OLD id=o doc=d
            + OLD restored
            ann < connected ann OLD
            ann < room OLD host=ann [ann*]
            ann < document d
            > OLD#2 id=o host=ann doc=d
            ann = now
        ",
    );
}

#[test]
fn a_guarded_room_without_a_token_has_no_host() {
    check(
        config(),
        r"
        0 ann: join R as ann host token=0
            ? R
            ann = waits
        5 store: R has R id=o host=ann guarded
            + R restored
            ann < connected ann R
            ann < room R host=ann [ann]
            ann = now
        ",
    );
}

#[test]
fn every_member_may_write_if_the_server_says_so() {
    check(
        RoomsConfig { sync_writers: SyncWriters::Any, auto_create: true, ..memory() },
        r"
        1 given: R ann tab/ann
        2 ann: sync d
            tab < document d
            ann = now
        ",
    );
}
