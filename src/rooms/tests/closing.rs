//! Rooms that are closed for good, and who comes meanwhile.

use super::*;

#[test]
fn everybody_goes_and_what_is_stored_is_deleted() {
    check(
        config(),
        r"
        0 given: R id=i host=a doc=d a* b
        2 admin: close R
            dismissed a b
            + R closed
            - R id=i
            admin = when deleted
        3 a: say hello
            a = Join a room first
        3 clock: next
            at never, 0 unsaved
        4 store: deleted R
        5 b: join R as b
            ? R
            b = waits
        6 store: R missing
            b = Room not found
        ",
    );
}

#[test]
fn nobody_gets_in_until_it_is_deleted() {
    check(
        config(),
        r"
        0 given: R id=i host=a a*
        1 admin: close r
            ? r
            admin = waits
        2 store: r has R id=i host=a
            dismissed a
            + R closed
            - R id=i
            admin = when deleted
        3 b: join R as b
            b = The room store does not answer, try again later
        3 b: join r as b
            b = The room store does not answer, try again later
        3 b: view R
            b = The room store does not answer, try again later
        3 b: create R by b
            b = The room store does not answer, try again later
        3 b: create R by b drawn
            b = taken
        3 other: close R
            other = The room store does not answer, try again later
        3 a: gone
        4 store: deleted R
        5 b: create R by b
            ? R
            b = waits
        6 store: R missing
            + R created
            > R#1 id=id-1 host=b
            b = created R id=id-1 host=b
        ",
    );
}

#[test]
fn a_write_under_way_comes_before_the_deletion() {
    check(
        config(),
        r"
        0 given: R host=a a*
        2 a: sync d1
            a = when durable R#2
        3 admin: close R
            dismissed a
            + R closed
            admin = when deleted
        3 clock: next
            at never, 1 unsaved
        4 store: saved R#1
            durable R#1
            - R id=id-1
        5 clock: flush
        6 store: deleted R
        6 store: deleted R
        6 clock: next
            at never, 0 unsaved
        ",
    );
    check(
        config(),
        r"
        0 given: R host=a
        3 admin: close R
            dismissed
            + R closed
            admin = when deleted
        4 store: failed R#1
            - R id=id-1
        5 store: deleted R
        ",
    );
}

#[test]
fn a_lookup_under_way_brings_nothing_back() {
    check(
        config(),
        r"
        0 b: join r as b
            ? r
            b = waits
        1 a: join R as a host
            ? R
            a = waits
        2 store: R has R id=i host=a
            + R restored
            a < connected a R
            a < room R host=a [a*]
            a = now
        3 admin: close R
            dismissed a
            + R closed
            admin = when deleted
        4 store: r has R id=i host=a
            - R id=i
            b = The room store does not answer, try again later
        5 store: deleted R
        ",
    );
}

#[test]
fn a_room_that_is_stored_only_is_deleted_too() {
    check(
        config(),
        r"
        0 admin: close R
            ? R
            admin = waits
        0 b: join R as b
            b = waits
        1 store: R has R doc=old
            dismissed
            + R closed
            - R id=
            admin = when deleted
            b = The room store does not answer, try again later
        2 store: deleted R
        3 admin: close R
            ? R
            admin = waits
        4 store: R missing
            admin = Room not found
        5 admin: close R
            ? R
            admin = waits
        6 store: R down
            admin = The room store does not answer, try again later
        7 admin: close R
            ? R
            admin = waits
        8 admin: gone
        9 store: R has R id=i
        ",
    );
}

#[test]
fn what_is_not_stored_goes_at_once() {
    check(
        RoomsConfig { auto_create: true, ..memory() },
        r"
        0 given: R a*
        1 admin: close r
            dismissed a
            + R closed
            admin = closed
        2 admin: close R
            admin = Room not found
        3 b: join R as b host
            + R created
            b < connected b R
            b < room R host=b [b*]
            b = now
        ",
    );
    check(
        config(),
        r"
        0 given: R host=a
        1 store: conflict R#1
            never durable R
            + R conflicted
        2 admin: close R
            dismissed
            + R closed
            admin = closed
        ",
    );
}

#[test]
fn a_list_goes_by_codes_and_leaves_out_what_is_being_closed() {
    let mut player = Player::new(RoomsConfig { rooms_max: 9, ..config() });
    for code in ["B", "a", "C", "A"] {
        player.play(&format!("0 http: create {code} by h"));
        player.play(&format!("0 store: {code} missing"));
    }
    player.play("1 admin: close C");
    let codes = |after| -> Vec<&str> { player.rooms.list(after).map(RoomView::code).collect() };
    assert_eq!(codes(None), ["A", "B", "a"]);
    assert_eq!(codes(Some("A")), ["B", "a"]);
    assert_eq!(codes(Some("AA")), ["B", "a"]);
    assert_eq!(codes(Some("a")), Vec::<&str>::new());
    let counts = (player.rooms.rooms(), player.rooms.live_rooms());
    assert_eq!(counts, (4, 3), "it has its code until it is deleted");
}
