//! The service the framework calls for each request of a connection.

use std::io;

use contract::{
    ApiError, DownloadParams, MAX_BODY_BYTES, MAX_UPLOAD_BYTES, OrderRequest, PageParams, Store,
    Upload, UsersParams, WaitParams,
};
use may::coroutine::sleep;
use may_minihttp::{HttpService, Request, Response};
use serde::de::DeserializeOwned;

use crate::answer;
use crate::body;
use crate::route::{self, Route};

/// One for each connection, cloned by the framework from the one it was started with.
#[derive(Clone)]
pub(crate) struct Service {
    store: &'static Store,
    /// The body being read; kept to be filled again.
    body: Vec<u8>,
}

impl Service {
    pub(crate) fn new(store: &'static Store) -> Self {
        Self {
            store,
            body: Vec::new(),
        }
    }

    /// Answers all but an error.
    fn answer(&mut self, request: Request, response: &mut Response) -> Result<(), ApiError> {
        let outcome = match route::find(request.method(), request.path()) {
            Ok(Route::PlaceOrder) => return self.place_order(request, response),
            Ok(Route::Upload) => return self.upload(request, response),
            Ok(route) => self.look_up(route, response),
            Err(error) => Err(error),
        };
        body::discard(request);
        outcome
    }

    /// Answers what takes no body.
    fn look_up(&self, route: Route, response: &mut Response) -> Result<(), ApiError> {
        let store = self.store;
        match route {
            Route::Ping => answer::json(response, &store.ping()),
            Route::Users(query) => {
                let query = parse_query::<UsersParams>(query)?.validate()?;
                answer::json(response, &store.users(query));
            }
            Route::User(id) => answer::json(response, store.user(contract::parse_id(id)?)?),
            Route::Orders(query) => {
                let query = parse_query::<PageParams>(query)?.validate()?;
                answer::json(response, &store.orders(query));
            }
            Route::Order(id) => answer::json(response, &store.order(contract::parse_id(id)?)?),
            Route::Wait(query) => {
                let wait = parse_query::<WaitParams>(query)?.validate()?;
                // Only this connection's coroutine sleeps.
                sleep(wait.time());
                answer::json(response, &wait);
            }
            Route::Download(query) => {
                let query = parse_query::<DownloadParams>(query)?.validate()?;
                answer::json(response, &store.users(query));
            }
            Route::PlaceOrder | Route::Upload => unreachable!("it takes a body"),
        }
        Ok(())
    }

    fn place_order(&mut self, request: Request, response: &mut Response) -> Result<(), ApiError> {
        let content_type = body::header(&request, "Content-Type");
        let is_json = contract::is_json(content_type.and_then(|value| str::from_utf8(value).ok()));
        body::read(request, &mut self.body, MAX_BODY_BYTES)?;
        if !is_json {
            return Err(ApiError::UnsupportedMediaType);
        }
        let order: OrderRequest = serde_json::from_slice(&self.body)
            .map_err(|error| ApiError::MalformedJson(error.to_string().into()))?;
        let order = self.store.place(order.validate()?)?;
        response.status_code(201, "Created");
        answer::json(response, &order);
        Ok(())
    }

    fn upload(&mut self, request: Request, response: &mut Response) -> Result<(), ApiError> {
        body::read(request, &mut self.body, MAX_UPLOAD_BYTES)?;
        answer::json(response, &Upload::of(&self.body));
        Ok(())
    }
}

impl HttpService for Service {
    /// Never returns an error: the framework would answer 500 with its text.
    fn call(&mut self, request: Request, response: &mut Response) -> io::Result<()> {
        let head_only = request.method() == "HEAD";
        if let Err(error) = self.answer(request, response) {
            answer::error(response, &error, head_only);
        }
        Ok(())
    }
}

fn parse_query<P: DeserializeOwned>(query: &str) -> Result<P, ApiError> {
    serde_urlencoded::from_str(query)
        .map_err(|error| ApiError::InvalidParameter(error.to_string().into()))
}
