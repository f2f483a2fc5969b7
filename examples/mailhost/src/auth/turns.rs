//! Whose password is looked at next, where there are more of them than cores.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use super::Repute;
use crate::system::Urgency;

/// Turns to be shared out: about as many as there are cores. Those with a good name go first, and the last turn is for them alone.
/// Those who may be guessing have turns of their own, in the time that everybody else leaves; so whoever guesses keeps nobody waiting.
#[derive(Clone, Debug)]
pub(super) struct Turns {
    state: Arc<Mutex<State>>,
    spare: Arc<Semaphore>,
}

/// A turn, for the next when it is dropped.
#[derive(Debug)]
pub(super) struct Turn {
    /// How soon the work that it is for is to be done.
    pub(super) urgency: Urgency,
    _share: Option<Share>,
    _spare: Option<OwnedSemaphorePermit>,
}

#[derive(Debug)]
struct Share {
    state: Option<Arc<Mutex<State>>>,
    lane: Lane,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Lane {
    Known,
    Fresh,
}

#[derive(Debug)]
struct State {
    free: usize,
    /// How many more fresh ones may have one.
    for_fresh: usize,
    /// Who waits, with a number that rises, by lane.
    waiting: [VecDeque<(u64, oneshot::Sender<Share>)>; 2],
    /// How many have ever waited.
    came: u64,
    /// How many of them have been served.
    served: u64,
}

impl Turns {
    pub(super) fn new(cores: usize) -> Self {
        let cores = cores.max(1);
        let state =
            State { free: cores + 1, for_fresh: cores, waiting: Default::default(), came: 0, served: 0 };
        let spare = Semaphore::new((cores / 2).max(1));
        Self { state: Arc::new(Mutex::new(state)), spare: Arc::new(spare) }
    }

    /// Waits for a turn. Dropped meanwhile, it has asked for none.
    pub(super) async fn turn(&self, repute: Repute) -> Turn {
        let (urgency, lane) = match repute {
            Repute::Known => (Urgency::Soon, Lane::Known),
            Repute::Fresh => (Urgency::Later, Lane::Fresh),
            Repute::Suspect => {
                // Nobody closes it.
                let spare = Arc::clone(&self.spare).acquire_owned().await.ok();
                return Turn { urgency: Urgency::Spare, _share: None, _spare: spare };
            }
        };
        Turn { urgency, _share: Some(self.share(lane).await), _spare: None }
    }

    async fn share(&self, lane: Lane) -> Share {
        let turn = {
            let mut state = lock(&self.state);
            if state.has_for(lane) {
                return state.take(&self.state, lane);
            }
            let (sender, turn) = oneshot::channel();
            let number = state.came;
            state.came += 1;
            state.waiting[lane as usize].push_back((number, sender));
            turn
        };
        // The sender is kept until it is used: there is always somebody whose turn it is.
        turn.await.unwrap_or(Share { state: None, lane })
    }
}

impl State {
    const fn has_for(&self, lane: Lane) -> bool {
        self.free > 0 && (self.for_fresh > 0 || matches!(lane, Lane::Known))
    }

    fn take(&mut self, state: &Arc<Mutex<Self>>, lane: Lane) -> Share {
        self.free -= 1;
        self.for_fresh -= usize::from(lane == Lane::Fresh);
        Share { state: Some(Arc::clone(state)), lane }
    }

    fn give_back(&mut self, lane: Lane) {
        self.free += 1;
        self.for_fresh += usize::from(lane == Lane::Fresh);
    }

    /// Whose turn it is.
    fn next(&mut self) -> Option<(Lane, oneshot::Sender<Share>)> {
        let fair = (self.served + 1).is_multiple_of(FAIR);
        let first = |lane: Lane| {
            let (number, _) = self.waiting[lane as usize].front()?;
            self.has_for(lane).then_some(*number)
        };
        let lane = match (first(Lane::Known), first(Lane::Fresh)) {
            // Nobody waits for ever, however many come with a better name.
            (Some(known), Some(fresh)) if fair && fresh < known => Lane::Fresh,
            (Some(_), _) => Lane::Known,
            (None, Some(_)) => Lane::Fresh,
            (None, None) => return None,
        };
        self.served += 1;
        let waiting = &mut self.waiting[lane as usize];
        let next = match lane {
            // The latest first: they are many when each address of a crowd guesses once, and whoever comes into that crowd would
            // wait for all of it.
            Lane::Fresh if !fair => waiting.pop_back(),
            _ => waiting.pop_front(),
        };
        next.map(|(_, sender)| (lane, sender))
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let Some(shared) = self.state.take() else { return };
        let mut state = lock(&shared);
        state.give_back(self.lane);
        while let Some((lane, sender)) = state.next() {
            let share = state.take(&shared, lane);
            if let Err(mut unused) = sender.send(share) {
                // Nobody waits there any more.
                unused.state = None;
                state.give_back(lane);
            }
        }
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One in so many goes to whoever has waited longest.
const FAIR: u64 = 4;

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::pin::Pin;
    use std::task::Poll;

    use super::*;

    type Waiting = Pin<Box<dyn Future<Output = Turn>>>;

    /// Whether the turn has come; it asks for one with the first call.
    async fn come(waiting: &mut Waiting) -> Option<Turn> {
        poll_fn(|cx| {
            Poll::Ready(match waiting.as_mut().poll(cx) {
                Poll::Ready(turn) => Some(turn),
                Poll::Pending => None,
            })
        })
        .await
    }

    fn ask(turns: &Turns, repute: Repute) -> Waiting {
        let turns = turns.clone();
        Box::pin(async move { turns.turn(repute).await })
    }

    /// So many turns as can be had at once.
    async fn all(turns: &Turns, repute: Repute) -> Vec<Turn> {
        let mut held = Vec::new();
        while let Some(turn) = come(&mut ask(turns, repute)).await {
            held.push(turn);
        }
        held
    }

    #[tokio::test]
    async fn a_good_name_goes_before_a_hundred_others_and_those_still_have_their_turn() {
        let turns = Turns::new(1);
        let mut held = turns.turn(Repute::Fresh).await;
        let _always = turns.turn(Repute::Known).await;
        let mut others: Vec<_> = (0..100).map(|_| ask(&turns, Repute::Fresh)).collect();
        for other in &mut others {
            assert!(come(other).await.is_none());
        }
        // Others with a good name keep coming.
        let mut served = 0;
        for _ in 0..40 {
            let mut next = ask(&turns, Repute::Known);
            assert!(come(&mut next).await.is_none());
            drop(held);
            held = match come(&mut next).await {
                Some(turn) => turn,
                None => {
                    let turn = come(&mut others[served]).await.expect("the one that has waited longest");
                    served += 1;
                    drop(turn);
                    come(&mut next).await.expect("then this one")
                }
            };
        }
        assert!((8..=20).contains(&served), "{served}");
    }

    #[tokio::test]
    async fn the_last_turn_is_for_good_names_alone() {
        let turns = Turns::new(3);
        let mut fresh = all(&turns, Repute::Fresh).await;
        assert_eq!(fresh.len(), 3);
        let mut waiting = ask(&turns, Repute::Fresh);
        assert!(come(&mut waiting).await.is_none());
        let known = all(&turns, Repute::Known).await;
        assert_eq!(known.len(), 1);
        let urgency = |turn: &Turn| turn.urgency;
        assert!(fresh.iter().map(urgency).all(|urgency| urgency == Urgency::Later));
        assert!(known.iter().map(urgency).all(|urgency| urgency == Urgency::Soon));
        drop(known);
        assert!(come(&mut waiting).await.is_none());
        fresh.pop();
        assert!(come(&mut waiting).await.is_some());
        drop(fresh);
        assert_eq!(all(&turns, Repute::Known).await.len(), 4);
    }

    #[tokio::test]
    async fn those_who_guess_take_no_turn_of_anybody_else() {
        let turns = Turns::new(4);
        let mut guesses = all(&turns, Repute::Suspect).await;
        assert_eq!(guesses.len(), 2);
        assert!(guesses.iter().all(|turn| turn.urgency == Urgency::Spare));
        let (mut second, mut first) = (ask(&turns, Repute::Suspect), ask(&turns, Repute::Suspect));
        assert!(come(&mut first).await.is_none() && come(&mut second).await.is_none());
        assert_eq!(all(&turns, Repute::Known).await.len(), 5);
        assert!(come(&mut first).await.is_none());
        guesses.pop();
        assert!(come(&mut second).await.is_none() && come(&mut first).await.is_some());
    }

    #[tokio::test]
    async fn whoever_comes_into_a_crowd_does_not_wait_for_all_of_it_and_the_first_of_it_have_their_turn() {
        let turns = Turns::new(1);
        let mut held = turns.turn(Repute::Fresh).await;
        let mut crowd: Vec<_> = (0..100).map(|_| ask(&turns, Repute::Fresh)).collect();
        for guess in &mut crowd {
            assert!(come(guess).await.is_none());
        }
        for (served, last) in (96..100).rev().enumerate() {
            drop(held);
            let next = if served == 3 { 0 } else { last };
            held = come(&mut crowd[next]).await.expect("a turn");
        }
    }

    #[tokio::test]
    async fn who_does_not_wait_any_more_gets_no_turn() {
        let turns = Turns::new(1);
        let mut held = all(&turns, Repute::Known).await;
        let mut gone = ask(&turns, Repute::Known);
        let mut granted = ask(&turns, Repute::Known);
        let mut last = ask(&turns, Repute::Fresh);
        assert!(come(&mut gone).await.is_none() && come(&mut granted).await.is_none());
        assert!(come(&mut last).await.is_none());
        drop(gone);
        held.pop();
        // It has the turn by now, and has not seen it.
        drop(granted);
        drop(come(&mut last).await.expect("the turn that nobody took"));
        let state = lock(&turns.state);
        assert_eq!((state.free, state.for_fresh), (1, 1));
    }
}
