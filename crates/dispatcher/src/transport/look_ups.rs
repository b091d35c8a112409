//! Look-ups of names, within bounds. What the system does for one cannot be stopped: a name whose servers never answer holds a
//! thread long after whoever asked has left, and the threads are everyone's.
//!
//! - A name is looked up once at a time. Whoever asks meanwhile gets the same answer, and checks it for itself. Where that takes
//!   longer than a good look-up does, a question may be lost that the next one would get an answer to: then whoever asks begins
//!   another, in whose answer the next ones share.
//! - [`LOOK_UPS_MAX`] names are looked up at once. Names that were slow the last time have [`SLOW_LOOK_UPS_MAX`] places of their
//!   own instead. A name says nothing of its tenant, so no share can be a tenant's; but however many silent names someone has,
//!   each takes a place of the others' once, for one look-up, and is among its like from then on, until it answers quickly or a
//!   minute has passed.
//! - A look-up that finds no place within [`LOOK_UP_WAIT_MS_MAX`] ends as a fault of ours, since it is others that take long. What
//!   has its place is its name's own affair, however long it takes.

use super::names::{NameError, NameResolver};
use crate::limits::{
    LOOK_UP_SLOW_MS, LOOK_UP_WAIT_MS_MAX, LOOK_UPS_MAX, SLOW_LOOK_UPS_MAX, SLOW_NAME_MS, SLOW_NAMES_MAX,
};
use futures::FutureExt;
use futures::future::{BoxFuture, Shared};
use moka::sync::Cache;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout};

type Found = Result<Vec<IpAddr>, NameError>;

/// Looks names up within bounds, which clones share.
#[derive(Clone)]
pub(super) struct LookUps(Arc<Bounds>);

struct Bounds {
    names: Arc<dyn NameResolver>,
    names_under_way: Mutex<HashMap<String, OfName>>,
    places: Semaphore,
    slow_places: Semaphore,
    /// Since when.
    slow_names: Cache<String, Instant>,
}

/// The look-ups of one name that are under way: two at most.
#[derive(Default)]
struct OfName {
    running: u32,
    /// How many were begun.
    begun: u64,
    /// The newest, which others share in, unless it has ended.
    newest: Option<Newest>,
}

struct Newest {
    look_up: Shared<BoxFuture<'static, Found>>,
    began: Instant,
}

impl LookUps {
    pub(super) fn new(names: Arc<dyn NameResolver>) -> Self {
        Self(Arc::new(Bounds {
            names,
            names_under_way: Mutex::default(),
            places: Semaphore::new(LOOK_UPS_MAX),
            slow_places: Semaphore::new(SLOW_LOOK_UPS_MAX),
            slow_names: Cache::new(SLOW_NAMES_MAX),
        }))
    }

    /// All addresses of the name.
    pub(super) async fn addresses(&self, name: &str) -> Found {
        self.joined(name).await
    }

    /// The look-up of that name which is under way, or a new one. It is a task of its own, which keeps its place until it ends,
    /// whoever still waits for it.
    fn joined(&self, name: &str) -> Shared<BoxFuture<'static, Found>> {
        let mut names = self.0.names_under_way.lock();
        let of_name = names.entry(name.to_owned()).or_default();
        if let Some(newest) = &of_name.newest
            && (of_name.running > 1 || !is_slow(newest.began))
        {
            return newest.look_up.clone();
        }
        of_name.running += 1;
        of_name.begun += 1;
        let (is_second, number) = (of_name.running > 1, of_name.begun);
        let (bounds, owned_name) = (Arc::clone(&self.0), name.to_owned());
        let task = tokio::spawn(async move { LookUp { bounds, name: owned_name, number, is_second }.found().await });
        let broken_off = "the look-up of the name was broken off";
        let look_up = task.map(move |ended| ended.unwrap_or(Err(NameError::Ours(broken_off)))).boxed().shared();
        of_name.newest = Some(Newest { look_up: look_up.clone(), began: Instant::now() });
        look_up
    }
}

fn is_slow(began: Instant) -> bool {
    began.elapsed() >= Duration::from_millis(LOOK_UP_SLOW_MS)
}

/// A look-up under way, and listed as that until it ends, however it does.
struct LookUp {
    bounds: Arc<Bounds>,
    name: String,
    number: u64,
    /// Whether another of its name was under way as it began: that one is slow.
    is_second: bool,
}

impl LookUp {
    async fn found(&self) -> Found {
        let Bounds { names, places, slow_places, slow_names, .. } = &*self.bounds;
        let was_slow = slow_names.get(&self.name).is_some_and(|at| at.elapsed() < Duration::from_millis(SLOW_NAME_MS));
        let places = if was_slow || self.is_second { slow_places } else { places };
        let wait_max = Duration::from_millis(LOOK_UP_WAIT_MS_MAX);
        let Ok(Ok(_place)) = timeout(wait_max, places.acquire()).await else {
            return Err(NameError::Ours("the look-ups of other names take long: there is no place for this one"));
        };
        let started = Instant::now();
        let found = names.addresses(&self.name).await;
        if is_slow(started) || self.is_beside_another() {
            slow_names.insert(self.name.clone(), Instant::now());
        } else {
            slow_names.invalidate(&self.name);
        }
        found.map_err(|error| NameError::Failed(Arc::new(error)))
    }
}

impl LookUp {
    fn is_beside_another(&self) -> bool {
        self.bounds.names_under_way.lock().get(&self.name).is_some_and(|of_name| of_name.running > 1)
    }
}

impl Drop for LookUp {
    fn drop(&mut self) {
        let mut names = self.bounds.names_under_way.lock();
        let Some(of_name) = names.get_mut(&self.name) else { return };
        of_name.running -= 1;
        if of_name.begun == self.number {
            of_name.newest = None;
        }
        if of_name.running == 0 {
            names.remove(&self.name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use async_trait::async_trait;
    use hookgraph_domain::limits::TIMEOUT_MS_MIN;
    use std::io;
    use std::net::Ipv4Addr;

    /// Answers names that begin with `silent` as often as it is let, panics at `broken`, and answers all others at once.
    struct Names {
        asked: Mutex<Vec<String>>,
        let_through: Semaphore,
    }

    #[async_trait]
    impl NameResolver for Names {
        async fn addresses(&self, name: &str) -> io::Result<Vec<IpAddr>> {
            self.asked.lock().push(name.to_owned());
            assert_ne!(name, "broken");
            if name.starts_with("silent") {
                self.let_through.acquire().await.expect("never closed").forget();
            }
            Ok(vec![Ipv4Addr::LOCALHOST.into()])
        }
    }

    fn look_ups() -> (LookUps, Arc<Names>) {
        let names = Arc::new(Names { asked: Mutex::default(), let_through: Semaphore::new(0) });
        (LookUps::new(names.clone()), names)
    }

    /// Lets the tasks run until so many places are free.
    async fn until_free(places: &Semaphore, count: usize) {
        while places.available_permits() != count {
            tokio::task::yield_now().await;
        }
    }

    fn is_ours(found: &Found) -> bool {
        matches!(found, Err(NameError::Ours(_)))
    }

    #[tokio::test(start_paused = true)]
    async fn a_name_is_looked_up_once_for_all_who_ask_meanwhile_and_anew_for_who_asks_later() {
        let (look_ups, names) = look_ups();
        let (first, second, ()) = tokio::join!(look_ups.addresses("silent"), look_ups.addresses("silent"), async {
            names.let_through.add_permits(1);
        });
        let found: Vec<IpAddr> = vec![Ipv4Addr::LOCALHOST.into()];
        assert_eq!(first.expect("addresses"), found);
        assert_eq!(second.expect("addresses"), found);
        assert_eq!(names.asked.lock().len(), 1);
        assert!(look_ups.0.names_under_way.lock().is_empty());
        names.let_through.add_permits(1);
        assert!(look_ups.addresses("silent").await.is_ok());
        assert_eq!(names.asked.lock().len(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn a_look_up_keeps_its_place_when_whoever_asked_has_left() {
        let (look_ups, names) = look_ups();
        assert!(timeout(Duration::from_millis(1), look_ups.addresses("silent")).await.is_err());
        assert_eq!(look_ups.0.places.available_permits(), LOOK_UPS_MAX - 1);
        names.let_through.add_permits(1);
        until_free(&look_ups.0.places, LOOK_UPS_MAX).await;
        assert!(look_ups.0.names_under_way.lock().is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn a_look_up_without_a_place_is_a_fault_of_ours_before_any_attempt_can_run_out_of_time() {
        let (look_ups, names) = look_ups();
        let silent: Vec<_> = (0..LOOK_UPS_MAX).map(|number| look_ups.joined(&format!("silent-{number}"))).collect();
        until_free(&look_ups.0.places, 0).await;
        let started = Instant::now();
        assert!(is_ours(&look_ups.addresses("receiver").await));
        assert!(started.elapsed() < Duration::from_millis(TIMEOUT_MS_MIN.into()));
        names.let_through.add_permits(1);
        assert!(look_ups.addresses("receiver").await.is_ok());
        names.let_through.add_permits(LOOK_UPS_MAX - 1);
        assert!(futures::future::join_all(silent).await.iter().all(Result::is_ok));
    }

    #[tokio::test(start_paused = true)]
    async fn names_that_were_slow_leave_the_others_their_places_until_they_answer_quickly() {
        let (look_ups, names) = look_ups();
        let (places, slow_places) = (&look_ups.0.places, &look_ups.0.slow_places);
        let silent: Vec<_> = (0..=SLOW_LOOK_UPS_MAX).map(|number| format!("silent-{number}")).collect();
        silent.iter().for_each(|name| drop(look_ups.joined(name)));
        until_free(places, LOOK_UPS_MAX - silent.len()).await;
        tokio::time::advance(Duration::from_millis(LOOK_UP_SLOW_MS)).await;
        names.let_through.add_permits(silent.len());
        until_free(places, LOOK_UPS_MAX).await;

        silent[1..].iter().for_each(|name| drop(look_ups.joined(name)));
        until_free(slow_places, 0).await;
        assert_eq!(places.available_permits(), LOOK_UPS_MAX);
        assert!(look_ups.addresses("receiver").await.is_ok());
        assert!(is_ours(&look_ups.addresses(&silent[0]).await));

        names.let_through.add_permits(SLOW_LOOK_UPS_MAX);
        until_free(slow_places, SLOW_LOOK_UPS_MAX).await;
        drop(look_ups.joined(&silent[1]));
        until_free(places, LOOK_UPS_MAX - 1).await;
        drop(look_ups.joined(&silent[0]));
        until_free(slow_places, SLOW_LOOK_UPS_MAX - 1).await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_look_up_that_takes_long_is_joined_by_a_second_and_by_no_third() {
        let (look_ups, names) = look_ups();
        let first = look_ups.joined("silent");
        until_free(&look_ups.0.places, LOOK_UPS_MAX - 1).await;
        tokio::time::advance(Duration::from_millis(LOOK_UP_SLOW_MS - 1)).await;
        drop(look_ups.joined("silent"));
        assert_eq!(names.asked.lock().len(), 1);
        tokio::time::advance(Duration::from_millis(1)).await;
        let second = look_ups.joined("silent");
        until_free(&look_ups.0.slow_places, SLOW_LOOK_UPS_MAX - 1).await;
        tokio::time::advance(Duration::from_millis(LOOK_UP_SLOW_MS)).await;
        let third = look_ups.joined("silent");
        names.let_through.add_permits(2);
        assert!(futures::future::join_all([first, second, third]).await.iter().all(Result::is_ok));
        assert_eq!(names.asked.lock().len(), 2);
        assert!(look_ups.0.names_under_way.lock().is_empty());
    }

    /// Servers that answer every second question hold no place of the others' but the first.
    #[tokio::test(start_paused = true)]
    async fn while_one_of_its_look_ups_hangs_a_name_is_among_the_slow_ones() {
        let (look_ups, names) = look_ups();
        let first = look_ups.joined("silent");
        until_free(&look_ups.0.places, LOOK_UPS_MAX - 1).await;
        tokio::time::advance(Duration::from_millis(LOOK_UP_SLOW_MS)).await;
        let second = look_ups.joined("silent");
        until_free(&look_ups.0.slow_places, SLOW_LOOK_UPS_MAX - 1).await;
        assert_eq!(look_ups.0.places.available_permits(), LOOK_UPS_MAX - 1);
        names.let_through.add_permits(2);
        assert!(second.await.is_ok());
        assert!(first.await.is_ok());
        assert!(look_ups.0.names_under_way.lock().is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn a_name_that_was_slow_is_among_the_others_again_after_a_while() {
        let (look_ups, names) = look_ups();
        look_ups.0.slow_names.insert("silent".to_owned(), Instant::now());
        for (waited_ms, slow) in [(SLOW_NAME_MS - 1, 1), (1, 0)] {
            tokio::time::advance(Duration::from_millis(waited_ms)).await;
            let look_up = look_ups.joined("silent");
            until_free(&look_ups.0.slow_places, SLOW_LOOK_UPS_MAX - slow).await;
            until_free(&look_ups.0.places, LOOK_UPS_MAX + slow - 1).await;
            // It stays slow, or is so from now on.
            let since = look_ups.0.slow_names.get("silent");
            names.let_through.add_permits(1);
            assert!(look_up.await.is_ok());
            since.into_iter().for_each(|since| look_ups.0.slow_names.insert("silent".to_owned(), since));
        }
    }

    #[test]
    fn no_more_slow_names_are_remembered_than_the_limit_says() {
        let slow_names = look_ups().0.0.slow_names.clone();
        for number in 0..2 * SLOW_NAMES_MAX {
            slow_names.insert(number.to_string(), Instant::now());
        }
        slow_names.run_pending_tasks();
        assert!(slow_names.entry_count() <= SLOW_NAMES_MAX, "{}", slow_names.entry_count());
    }

    #[tokio::test]
    async fn a_look_up_that_is_broken_off_is_a_fault_of_ours_and_the_next_is_a_new_one() {
        let (look_ups, names) = look_ups();
        for asked in 1..=2 {
            assert!(is_ours(&look_ups.addresses("broken").await));
            assert_eq!(names.asked.lock().len(), asked);
        }
        assert_eq!(look_ups.0.places.available_permits(), LOOK_UPS_MAX);
    }
}
