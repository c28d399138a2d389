//! All the state of a server.

use serde::Serialize;

use crate::orders::Orders;
use crate::users::Users;
use crate::{ApiError, NewOrder, Order, OrderPage, PageQuery, User, UserPage, UsersQuery};

/// The answer to `GET /ping`.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Ping {
    status: &'static str,
}

/// Users and orders, shared by all threads of a server.
#[derive(Debug)]
pub struct Store {
    users: Users,
    orders: Orders,
}

impl Store {
    /// The state every start begins from, for the life of the process: it is made
    /// once and never freed, so that handlers share it without counting references.
    pub fn leak() -> &'static Self {
        Box::leak(Box::new(Self::new()))
    }

    /// The state every start begins from.
    pub fn new() -> Self {
        Self {
            users: Users::new(),
            orders: Orders::new(),
        }
    }

    /// `GET /ping`.
    pub fn ping(&self) -> Ping {
        Ping { status: "ok" }
    }

    /// `GET /api/v1/users` and `GET /api/v1/download`.
    pub fn users(&self, query: UsersQuery) -> UserPage<'_> {
        self.users.page(query)
    }

    /// `GET /api/v1/users/{id}`.
    ///
    /// # Errors
    /// [`ApiError::NotFound`] where there is no such user.
    pub fn user(&self, id: u64) -> Result<&User, ApiError> {
        self.users.get(id).ok_or(ApiError::NotFound)
    }

    /// `POST /api/v1/orders`.
    ///
    /// # Errors
    /// [`ApiError::OutOfStock`] where too few units are left; nothing is taken then.
    pub fn place(&self, order: NewOrder) -> Result<Order, ApiError> {
        self.orders.place(order)
    }

    /// `GET /api/v1/orders`.
    pub fn orders(&self, query: PageQuery) -> OrderPage {
        self.orders.page(query)
    }

    /// `GET /api/v1/orders/{id}`.
    ///
    /// # Errors
    /// [`ApiError::NotFound`] where there is no such order, or it is no longer kept.
    pub fn order(&self, id: u64) -> Result<Order, ApiError> {
        self.orders.get(id).ok_or(ApiError::NotFound)
    }
}

impl Default for Store {
    fn default() -> Self {
        Self::new()
    }
}
