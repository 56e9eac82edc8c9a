//! The bound on the time that a request's head takes. hyper asks for a timer with every request and throws it away when
//! the head is there; this one costs a request next to nothing, because all requests of a connection share one.

use hyper::rt::{Sleep, Timer};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

/// Makes the timers of one connection.
#[derive(Clone, Default)]
pub(super) struct HeadTimer {
    armed: Arc<Mutex<Option<Armed>>>,
}

/// The one that is known to the runtime. It goes off at the deadline of a head that is waited for, or earlier.
struct Armed {
    sleep: Pin<Box<tokio::time::Sleep>>,
    /// Whom it wakes.
    waker: Waker,
}

/// Waits for a point in time.
struct Deadline {
    at: Instant,
    armed: Arc<Mutex<Option<Armed>>>,
}

impl Timer for HeadTimer {
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Sleep>> {
        self.sleep_until(Instant::now() + duration)
    }

    fn sleep_until(&self, deadline: Instant) -> Pin<Box<dyn Sleep>> {
        Box::pin(Deadline { at: deadline, armed: self.armed.clone() })
    }
}

impl Sleep for Deadline {}

impl Future for Deadline {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let mut armed = self.armed.lock().unwrap_or_else(PoisonError::into_inner);
        let armed = armed.get_or_insert_with(|| Armed {
            sleep: Box::pin(tokio::time::sleep_until(self.at.into())),
            waker: Waker::noop().clone(),
        });
        let is_early_enough = armed.sleep.deadline() <= self.at.into();
        if is_early_enough && !armed.sleep.is_elapsed() && armed.waker.will_wake(context.waker()) {
            return Poll::Pending;
        }
        if self.at <= Instant::now() {
            return Poll::Ready(());
        }
        if !is_early_enough || armed.sleep.is_elapsed() {
            armed.sleep.as_mut().reset(self.at.into());
        }
        armed.waker.clone_from(context.waker());
        loop {
            match armed.sleep.as_mut().poll(context) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(()) if self.at <= Instant::now() => return Poll::Ready(()),
                Poll::Ready(()) => armed.sleep.as_mut().reset(self.at.into()),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHORT: Duration = Duration::from_millis(40);

    #[tokio::test]
    async fn a_later_deadline_is_kept_though_an_earlier_one_was_armed() {
        let timer = HeadTimer::default();
        let began = Instant::now();
        let mut dropped = timer.sleep(SHORT);
        assert!(tokio::time::timeout(SHORT / 8, &mut dropped).await.is_err(), "armed, and its head came");
        drop(dropped);
        timer.sleep_until(began + SHORT * 3).await;
        assert!(began.elapsed() >= SHORT * 3);
    }

    #[tokio::test]
    async fn one_is_ended_that_is_polled_by_another_task() {
        let timer = HeadTimer::default();
        let mut deadline = timer.sleep(SHORT);
        assert!(tokio::time::timeout(SHORT / 8, &mut deadline).await.is_err());
        tokio::spawn(deadline).await.unwrap();
    }

    #[tokio::test]
    async fn an_earlier_deadline_is_kept_though_a_later_one_was_armed() {
        let timer = HeadTimer::default();
        let mut late = timer.sleep(Duration::from_secs(3600));
        assert!(tokio::time::timeout(SHORT / 8, &mut late).await.is_err());
        timer.sleep(SHORT).await;
        timer.sleep_until(Instant::now()).await;
    }
}
