//! The pages of a search, asked for one by one.

use std::collections::VecDeque;

use futures_util::future::BoxFuture;
use futures_util::{FutureExt as _, Stream};

use super::{TrackingClient, TrackingError};

/// One page, and the token of the next.
pub(super) type Page<T> = (Vec<T>, Option<String>);
/// Asks for the page with this token.
type Ask<T> =
    Box<dyn Fn(Option<String>) -> BoxFuture<'static, Result<Page<T>, TrackingError>> + Send + Sync>;

/// What a search finds: page by page, all together, or as a stream.
///
/// Nothing is asked before the first page is wanted.
///
/// ```no_run
/// use futures_util::TryStreamExt as _;
/// use mlrs_client::tracking::{RunSearch, TrackingClient, TrackingError};
///
/// # async fn example(client: TrackingClient) -> Result<(), TrackingError> {
/// let search = RunSearch::in_experiments(["1"]).filter("metrics.accuracy > 0.9");
/// let mut runs = std::pin::pin!(client.search_runs(search).into_stream());
/// while let Some(run) = runs.try_next().await? {
///     println!("{}", run.info.run_id);
/// }
/// # Ok(())
/// # }
/// ```
#[must_use = "nothing is asked before a page is wanted"]
pub struct Pages<T> {
    ask: Ask<T>,
    action: String,
    next: Next,
}

enum Next {
    First,
    Token(String),
    None,
}

impl<T> std::fmt::Debug for Pages<T> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Pages")
            .field("action", &self.action)
            .finish_non_exhaustive()
    }
}

impl TrackingClient {
    /// Pages that this client asks for, each with the token that came with the one before.
    pub(super) fn pages<T, F>(
        &self,
        action: impl Into<String>,
        ask: impl Fn(Self, Option<String>) -> F + Send + Sync + 'static,
    ) -> Pages<T>
    where
        T: Send + 'static,
        F: Future<Output = Result<Page<T>, TrackingError>> + Send + 'static,
    {
        let client = self.clone();
        Pages::new(action, move |token| ask(client.clone(), token))
    }
}

impl<T: Send + 'static> Pages<T> {
    fn new<F>(
        action: impl Into<String>,
        ask: impl Fn(Option<String>) -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = Result<Page<T>, TrackingError>> + Send + 'static,
    {
        Self {
            ask: Box::new(move |token| ask(token).boxed()),
            action: action.into(),
            next: Next::First,
        }
    }

    /// The next page; none after the last one.
    ///
    /// # Errors
    /// When the server does not answer, refuses, or repeats a page.
    pub async fn next_page(&mut self) -> Result<Option<Vec<T>>, TrackingError> {
        let token = match std::mem::replace(&mut self.next, Next::None) {
            Next::First => None,
            Next::Token(token) => Some(token),
            Next::None => return Ok(None),
        };
        let (items, next) = (self.ask)(token.clone()).await?;
        let next = next.filter(|next| !next.is_empty());
        if next.is_some() && next == token {
            return Err(TrackingError::EndlessPages {
                action: self.action.clone(),
            });
        }
        self.next = next.map_or(Next::None, Next::Token);
        Ok(Some(items))
    }

    /// Everything, in memory.
    ///
    /// # Errors
    /// As [`Self::next_page`].
    pub async fn all(mut self) -> Result<Vec<T>, TrackingError> {
        let mut found = Vec::new();
        while let Some(page) = self.next_page().await? {
            found.extend(page);
        }
        Ok(found)
    }

    /// At most this many, in memory; no more pages are asked for than are needed.
    ///
    /// # Errors
    /// As [`Self::next_page`].
    pub async fn first(mut self, most: usize) -> Result<Vec<T>, TrackingError> {
        let mut found = Vec::new();
        while found.len() < most
            && let Some(page) = self.next_page().await?
        {
            found.extend(page);
        }
        found.truncate(most);
        Ok(found)
    }

    /// One after the other. After an error there is nothing more.
    pub fn into_stream(self) -> impl Stream<Item = Result<T, TrackingError>> + Send {
        let start = (self, VecDeque::new());
        futures_util::stream::try_unfold(start, |(mut pages, mut page)| async move {
            loop {
                if let Some(item) = page.pop_front() {
                    return Ok(Some((item, (pages, page))));
                }
                match pages.next_page().await? {
                    Some(next) => page = VecDeque::from(next),
                    None => return Ok(None),
                }
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use futures_util::TryStreamExt as _;

    use super::*;

    /// Pages of two numbers up to `count`; the token is the next number.
    fn numbers(count: usize) -> Pages<usize> {
        Pages::new("count", move |token| {
            let start: usize = token.map_or(0, |token| token.parse().unwrap());
            let end = (start + 2).min(count);
            let next = (end < count).then(|| end.to_string());
            async move { Ok(((start..end).collect(), next)) }
        })
    }

    #[tokio::test]
    async fn every_page_is_asked_for_once() {
        assert_eq!(numbers(5).all().await.unwrap(), [0, 1, 2, 3, 4]);
        assert_eq!(numbers(5).first(3).await.unwrap(), [0, 1, 2]);
        assert_eq!(numbers(5).first(0).await.unwrap(), [0; 0]);
        let streamed: Vec<_> = numbers(4).into_stream().try_collect().await.unwrap();
        assert_eq!(streamed, [0, 1, 2, 3]);
    }

    #[tokio::test]
    async fn a_page_that_comes_again_is_an_error() {
        let endless = Pages::new("count", |_| async { Ok((vec![1], Some("x".to_owned()))) });
        assert!(matches!(
            endless.all().await,
            Err(TrackingError::EndlessPages { .. })
        ));
    }
}
