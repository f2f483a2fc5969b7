//! Whose password is looked at next, where there are more of them than cores.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

use super::Repute;

/// Cores to be shared out: those with a good name go first, so that whoever guesses keeps none of them waiting.
#[derive(Clone, Debug)]
pub(super) struct Cores(Arc<Mutex<State>>);

/// A core, free for the next when it is dropped.
#[derive(Debug)]
pub(super) struct Core(Option<Cores>);

#[derive(Debug)]
struct State {
    free: usize,
    /// Who waits, with a number that rises, by repute.
    waiting: [VecDeque<(u64, oneshot::Sender<Core>)>; 3],
    /// How many have ever waited.
    came: u64,
    /// How many of them have been served.
    served: u64,
}

impl Cores {
    pub(super) fn new(free: usize) -> Self {
        let state = State { free: free.max(1), waiting: Default::default(), came: 0, served: 0 };
        Self(Arc::new(Mutex::new(state)))
    }

    /// Waits for a core. Dropped meanwhile, it has asked for none.
    pub(super) async fn core(&self, repute: Repute) -> Core {
        let turn = {
            let mut state = self.lock();
            if state.free > 0 {
                state.free -= 1;
                return Core(Some(self.clone()));
            }
            let (sender, turn) = oneshot::channel();
            let number = state.came;
            state.came += 1;
            state.waiting[repute as usize].push_back((number, sender));
            turn
        };
        // The sender is kept until it is used: there is always somebody who has the core.
        turn.await.unwrap_or(Core(None))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn next(&mut self) -> Option<oneshot::Sender<Core>> {
        self.served += 1;
        let first = |lane: &VecDeque<(u64, oneshot::Sender<Core>)>| lane.front().map(|(number, _)| *number);
        let lane = if self.served.is_multiple_of(FAIR) {
            // Nobody waits for ever, however many come with a better name.
            self.waiting.iter_mut().filter(|lane| !lane.is_empty()).min_by_key(|lane| first(lane))
        } else {
            self.waiting.iter_mut().find(|lane| !lane.is_empty())
        };
        lane?.pop_front().map(|(_, sender)| sender)
    }
}

impl Drop for Core {
    fn drop(&mut self) {
        let Some(cores) = self.0.take() else { return };
        let mut state = cores.lock();
        while let Some(sender) = state.next() {
            match sender.send(Self(Some(cores.clone()))) {
                Ok(()) => return,
                // Nobody waits there any more.
                Err(mut core) => core.0 = None,
            }
        }
        state.free += 1;
    }
}

/// One in so many goes to whoever has waited longest.
const FAIR: u64 = 4;

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::pin::{Pin, pin};
    use std::task::Poll;

    use super::*;

    type Waiting = Pin<Box<dyn Future<Output = Core>>>;

    /// Whether a core has come; it asks for one with the first call.
    async fn come(waiting: &mut Waiting) -> Option<Core> {
        poll_fn(|cx| {
            Poll::Ready(match waiting.as_mut().poll(cx) {
                Poll::Ready(core) => Some(core),
                Poll::Pending => None,
            })
        })
        .await
    }

    fn ask(cores: &Cores, repute: Repute) -> Waiting {
        let cores = cores.clone();
        Box::pin(async move { cores.core(repute).await })
    }

    #[tokio::test]
    async fn a_good_name_goes_before_a_hundred_guesses_and_those_still_have_their_turn() {
        let cores = Cores::new(1);
        let mut held = cores.core(Repute::Suspect).await;
        let mut guesses: Vec<_> = (0..100).map(|_| ask(&cores, Repute::Suspect)).collect();
        for guess in &mut guesses {
            assert!(come(guess).await.is_none());
        }
        let (mut known, mut fresh) = (ask(&cores, Repute::Known), ask(&cores, Repute::Fresh));
        assert!(come(&mut known).await.is_none() && come(&mut fresh).await.is_none());
        drop(held);
        held = come(&mut known).await.expect("the first turn");
        assert!(come(&mut fresh).await.is_none());
        drop(held);
        held = come(&mut fresh).await.expect("the second turn");
        // Others with a good name keep coming.
        let mut served = 0;
        for _ in 0..40 {
            let mut next = ask(&cores, Repute::Known);
            assert!(come(&mut next).await.is_none());
            drop(held);
            held = match come(&mut next).await {
                Some(core) => core,
                None => {
                    let core = come(&mut guesses[served]).await.expect("the one that has waited longest");
                    served += 1;
                    drop(core);
                    come(&mut next).await.expect("then this one")
                }
            };
        }
        assert!((8..=20).contains(&served), "{served}");
    }

    #[tokio::test]
    async fn who_does_not_wait_any_more_gets_no_core() {
        let cores = Cores::new(1);
        let held = cores.core(Repute::Known).await;
        let mut gone = ask(&cores, Repute::Known);
        let mut granted = ask(&cores, Repute::Known);
        let mut last = ask(&cores, Repute::Suspect);
        assert!(come(&mut gone).await.is_none() && come(&mut granted).await.is_none());
        assert!(come(&mut last).await.is_none());
        drop(gone);
        drop(held);
        // It has the core by now, and has not seen it.
        drop(granted);
        drop(come(&mut last).await.expect("the core that nobody took"));
        assert_eq!(cores.lock().free, 1);
        let mut again = pin!(cores.core(Repute::Suspect));
        assert!(poll_fn(|cx| Poll::Ready(again.as_mut().poll(cx).is_ready())).await);
    }
}
