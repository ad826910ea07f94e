//! Timers that are reused, since resetting a timer is nearly free. Registering and removing one for
//! each request costs more than finding the request's route.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use parking_lot::Mutex;
use tokio::time::{Instant, Sleep, sleep_until};

/// The number of spare timers. It is bounded, since each timer keeps the memory of the task that
/// used it last.
const SPARE: usize = 64;

/// The spare timers.
#[derive(Debug, Default)]
pub(super) struct Timers(Mutex<Vec<Pin<Box<Sleep>>>>);

impl Timers {
    /// A timer that fires at `deadline`.
    pub(super) fn at(&self, deadline: Instant) -> Timer<'_> {
        let spare = self.0.lock().pop();
        let sleep = match spare {
            Some(mut sleep) => {
                sleep.as_mut().reset(deadline);
                sleep
            }
            None => Box::pin(sleep_until(deadline)),
        };
        Timer {
            sleep: Some(sleep),
            owner: self,
        }
    }
}

/// A timer, which becomes a spare one on drop.
#[derive(Debug)]
pub(super) struct Timer<'a> {
    sleep: Option<Pin<Box<Sleep>>>,
    owner: &'a Timers,
}

impl Timer<'_> {
    pub(super) fn reset(&mut self, deadline: Instant) {
        if let Some(sleep) = &mut self.sleep {
            sleep.as_mut().reset(deadline);
        }
    }
}

impl Future for Timer<'_> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        match &mut self.sleep {
            Some(sleep) => sleep.as_mut().poll(cx),
            None => Poll::Pending,
        }
    }
}

impl Drop for Timer<'_> {
    fn drop(&mut self) {
        if let Some(sleep) = self.sleep.take() {
            let mut spare = self.owner.0.lock();
            if spare.len() < SPARE {
                spare.push(sleep);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::{pause, sleep};

    use super::*;

    #[tokio::test]
    async fn a_reused_timer_fires_at_its_new_deadline_and_not_at_its_old_one() {
        pause();
        let timers = Timers::default();
        let start = Instant::now();
        let second = Duration::from_secs(1);
        {
            let mut first = timers.at(start + second);
            tokio::select! {
                biased;
                () = &mut first => panic!("too early"),
                () = sleep(second / 2) => {}
            }
        }
        assert_eq!(timers.0.lock().len(), 1);
        timers.at(start + second * 3).await;
        assert_eq!(start.elapsed().as_secs(), 3);
        // Reuses timers that have fired, and sets deadlines earlier than before.
        timers.at(start + second * 9).await;
        drop(timers.at(start + second * 60));
        timers.at(start + second * 10).await;
        assert_eq!(start.elapsed().as_secs(), 10);
        assert_eq!(timers.0.lock().len(), 1);
    }
}
