//! Who waits for a place, and who does not.

use super::*;
use crate::limits::PERSISTED_DOCUMENT_BYTES_MAX;
use futures::FutureExt;
use futures::future::join_all;
use std::cell::RefCell;

const ADA: Holder = Holder(1);
const BO: Holder = Holder(2);

#[tokio::test]
async fn a_request_for_a_document_that_is_known_needs_the_place_of_a_part_of_it() {
    let large = LargeRequests::default();
    let of = |bytes: usize| move || Ok::<_, ()>(Request::new("x".repeat(bytes)));
    let full = filling(&large).await;
    // This request does not wait.
    let small = of(KNOWN_DOCUMENT_PART * LARGE_REQUEST_BYTES_MIN - 1);
    let (_, place) = large.read(ADA, 100, small, |_| true).now_or_never().unwrap().unwrap().unwrap();
    assert!(place.is_none());
    drop(full);
    for bytes in [100, LARGE_REQUEST_BYTES_MIN] {
        let read = large.read(ADA, bytes, of(PERSISTED_DOCUMENT_BYTES_MAX), |_| true);
        let (_, place) = read.await.unwrap().unwrap();
        let kept_bytes = PERSISTED_DOCUMENT_BYTES_MAX / KNOWN_DOCUMENT_PART;
        assert_eq!((large.in_use.lock().bytes, place.is_some()), (kept_bytes, true));
    }
}

/// Places of two holders that fill the room between them.
async fn filling(large: &LargeRequests) -> Vec<Option<LargePlace>> {
    let mut places = Vec::new();
    for index in 0..LARGE_BYTES_AT_ONCE_MAX / LARGE_REQUEST_BYTES_MIN {
        let holder = if index % 2 == 0 { ADA } else { BO };
        places.push(large.place(holder, LARGE_REQUEST_BYTES_MIN).await.unwrap());
    }
    places
}

#[tokio::test(start_paused = true)]
async fn few_large_requests_are_at_it_some_wait_for_a_while_and_small_ones_are_not_asked() {
    let large = LargeRequests::default();
    let mut places = filling(&large).await;
    assert!(large.place(ADA, LARGE_REQUEST_BYTES_MIN - 1).await.unwrap().is_none());
    let begun_at = tokio::time::Instant::now();
    let mib = 1024 * 1024;
    let waiting = (LARGE_BYTES_KEPT_MAX - LARGE_BYTES_AT_ONCE_MAX) / mib;
    let of_one = LARGE_BYTES_OF_ONE_KEPT_MAX / mib;
    let more = join_all((0..=waiting).map(|index| {
        let (large, holder) = (&large, Holder(10 + (index / of_one) as u128));
        async move {
            let answer = large.place(holder, mib).await;
            (answer.is_err(), begun_at.elapsed().as_millis())
        }
    }));
    let mut waited_ms: Vec<_> = more.await.into_iter().map(|(refused, ms)| (ms, refused)).collect();
    waited_ms.sort_unstable();
    assert_eq!(waited_ms[0], (0, true), "one too many does not wait");
    assert!(waited_ms[1..].iter().all(|waited| *waited == (u128::from(LARGE_REQUEST_WAIT_MS_MAX), true)));
    places.pop();
    assert!(large.place(ADA, LARGE_REQUEST_BYTES_MIN).now_or_never().is_none(), "she has her half");
    assert!(large.place(BO, LARGE_REQUEST_BYTES_MIN).await.unwrap().is_some());
}

#[tokio::test]
async fn four_of_any_size_are_executed_side_by_side_in_their_turns() {
    let large = LargeRequests::default();
    let mut places = filling(&large).await;
    let mut fifth = Box::pin(large.place(Holder(3), 2 * LARGE_BYTES_AT_ONCE_MAX));
    assert!(fifth.as_mut().now_or_never().is_none());
    places.clear();
    for holder in [ADA, ADA, BO] {
        places.push(large.place(holder, LARGE_BYTES_KEPT_MAX / 8).now_or_never().unwrap().unwrap());
    }
    let mut behind = Box::pin(large.place(Holder(4), LARGE_REQUEST_BYTES_MIN));
    assert!(behind.as_mut().now_or_never().is_none(), "it came later");
    let fifth = fifth.now_or_never().unwrap().unwrap();
    assert!(fifth.is_some() && behind.as_mut().now_or_never().is_none());
    drop(fifth);
    assert!(behind.now_or_never().unwrap().unwrap().is_some());
}

#[tokio::test]
async fn one_holder_has_half_of_the_turns_and_others_do_not_wait_behind_theirs() {
    let large = LargeRequests::default();
    let very = LARGE_REQUEST_SHARE_BYTES_MAX;
    let own = [(); 2].map(|()| large.place(ADA, very).now_or_never().unwrap().unwrap());
    let mut third = Box::pin(large.place(ADA, very));
    assert!(third.as_mut().now_or_never().is_none());
    for _ in 0..2 {
        assert!(large.place(BO, very).now_or_never().unwrap().unwrap().is_some());
    }
    drop(own);
    assert!(third.now_or_never().unwrap().unwrap().is_some());
    assert!(large.in_use.lock().holders.is_empty(), "a holder without a request here is forgotten");
}

#[tokio::test]
async fn one_holder_keeps_a_quarter_of_the_room_and_others_have_the_rest() {
    let large = LargeRequests::default();
    let own = large.place(ADA, LARGE_BYTES_KEPT_MAX).now_or_never().unwrap().unwrap();
    assert!(own.is_some(), "one that is larger counts for as many");
    assert_eq!(large.place(ADA, LARGE_REQUEST_BYTES_MIN).now_or_never().unwrap().unwrap_err(), TooManyLarge);
    let others = [2, 3, 4].map(|holder| large.place(Holder(holder), LARGE_BYTES_KEPT_MAX).now_or_never().unwrap());
    assert!(others.iter().all(Result::is_ok));
    assert_eq!(large.place(Holder(5), LARGE_REQUEST_BYTES_MIN).now_or_never().unwrap().unwrap_err(), TooManyLarge);
    drop(own);
    assert!(large.place(ADA, LARGE_REQUEST_BYTES_MIN).now_or_never().unwrap().unwrap().is_some());
}

#[tokio::test]
async fn a_short_request_for_a_long_document_is_read_again_in_the_place_of_the_document() {
    let large = LargeRequests::default();
    let named = |bytes: usize| move || Ok::<_, ()>(Request::new("x".repeat(bytes)));
    let kept = || large.in_use.lock().bytes;
    for (bytes, document_bytes, expected) in [
        (100, LARGE_REQUEST_BYTES_MIN - 1, 0),
        (100, LARGE_REQUEST_BYTES_MIN, LARGE_REQUEST_BYTES_MIN),
        (100, PERSISTED_DOCUMENT_BYTES_MAX, PERSISTED_DOCUMENT_BYTES_MAX),
        (2 * LARGE_REQUEST_BYTES_MIN, PERSISTED_DOCUMENT_BYTES_MAX, PERSISTED_DOCUMENT_BYTES_MAX),
        (2 * LARGE_REQUEST_BYTES_MIN, LARGE_REQUEST_BYTES_MIN, 2 * LARGE_REQUEST_BYTES_MIN),
    ] {
        let (_, place) = large.read(ADA, bytes, named(document_bytes), |_| false).await.unwrap().unwrap();
        assert_eq!((kept(), place.is_some()), (expected, expected > 0), "{bytes} {document_bytes}");
    }
    // While a request waits, the document that it was read into is not kept.
    let full = [ADA, ADA, BO, BO].map(|holder| large.place(holder, LARGE_REQUEST_SHARE_BYTES_MAX).now_or_never());
    let alive = RefCell::new(std::sync::Weak::<()>::new());
    let read = || {
        let data = Arc::new(());
        *alive.borrow_mut() = Arc::downgrade(&data);
        Ok::<_, ()>(Request::new("x".repeat(PERSISTED_DOCUMENT_BYTES_MAX)).data(data))
    };
    let mut waiting = Box::pin(large.read(Holder(3), 100, read, |_| false));
    assert!(waiting.as_mut().now_or_never().is_none());
    assert!(alive.borrow().upgrade().is_none());
    drop(full);
    assert!(waiting.now_or_never().unwrap().unwrap().unwrap().1.is_some());
    assert!(large.read(ADA, LARGE_REQUEST_BYTES_MIN, || Err(()), |_| false).await.unwrap().is_err());
    assert_eq!(kept(), 0);
}
