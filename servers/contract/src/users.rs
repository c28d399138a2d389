//! The 10,000 users, indexed by status.

use serde::{Serialize, Serializer};

use crate::UsersQuery;

const COUNT: u64 = 10_000;
const CREATED_AT_BASE: u64 = 1_700_000_000;
const FIRST: &str = "Ada Alan Barbara Claude Donald Edsger Frances Grace Hedy John Katherine Leslie \
                     Margaret Niklaus Zoë 明";
const LAST: &str = "Allen Backus Dijkstra Engelbart Hamilton Hopper Johnson Knuth Lamarr Lamport \
                    Liskov Lovelace Shannon Turing Wirth Łukasiewicz";

/// The state of a user.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// In use.
    Active,
    /// Not yet confirmed.
    Pending,
    /// No longer in use.
    Archived,
}

impl Status {
    pub(crate) fn parse(text: &str) -> Option<Self> {
        match text {
            "active" => Some(Self::Active),
            "pending" => Some(Self::Pending),
            "archived" => Some(Self::Archived),
            _ => None,
        }
    }

    fn of_id(id: u64) -> Self {
        match id % 10 {
            0..=5 => Self::Active,
            6 | 7 => Self::Pending,
            _ => Self::Archived,
        }
    }
}

/// One user.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct User {
    /// 1 to 10,000.
    pub id: u64,
    /// First and last name.
    pub name: String,
    /// Unique.
    pub email: String,
    /// The state.
    pub status: Status,
    /// Unix seconds.
    pub created_at: u64,
}

impl User {
    /// `first` and `last` are the 16 names each.
    fn with_id(id: u64, first: &[&str], last: &[&str]) -> Self {
        let first = first[(id % 16) as usize];
        let last = last[(id / 16 % 16) as usize];
        Self {
            id,
            name: format!("{first} {last}"),
            email: format!("user{id}@example.com"),
            status: Status::of_id(id),
            created_at: CREATED_AT_BASE + 60 * id,
        }
    }
}

/// A page of users; borrows them, so a page costs no copy.
#[derive(Debug, Serialize)]
pub struct UserPage<'a> {
    #[serde(serialize_with = "serialize_users")]
    users: Selection<'a>,
    page: u64,
    limit: u64,
    total: u64,
}

#[derive(Debug)]
struct Selection<'a> {
    all: &'a [User],
    positions: &'a [u32],
}

fn serialize_users<S: Serializer>(users: &Selection<'_>, to: S) -> Result<S::Ok, S::Error> {
    to.collect_seq(
        users
            .positions
            .iter()
            .map(|position| &users.all[*position as usize]),
    )
}

/// All users in id order, and for each status the positions of its users.
#[derive(Debug)]
pub(crate) struct Users {
    all: Vec<User>,
    everyone: Vec<u32>,
    active: Vec<u32>,
    pending: Vec<u32>,
    archived: Vec<u32>,
}

impl Users {
    pub(crate) fn new() -> Self {
        let [first, last] = [FIRST, LAST].map(|names| names.split(' ').collect::<Vec<_>>());
        let all: Vec<User> = (1..=COUNT)
            .map(|id| User::with_id(id, &first, &last))
            .collect();
        let positions = |keep: &dyn Fn(&User) -> bool| -> Vec<u32> {
            (0u32..)
                .zip(&all)
                .filter(|(_, user)| keep(user))
                .map(|(position, _)| position)
                .collect()
        };
        Self {
            everyone: positions(&|_| true),
            active: positions(&|user| user.status == Status::Active),
            pending: positions(&|user| user.status == Status::Pending),
            archived: positions(&|user| user.status == Status::Archived),
            all,
        }
    }

    pub(crate) fn get(&self, id: u64) -> Option<&User> {
        let position = usize::try_from(id.checked_sub(1)?).ok()?;
        self.all.get(position)
    }

    pub(crate) fn page(&self, query: UsersQuery) -> UserPage<'_> {
        let matching = match query.status {
            None => &self.everyone,
            Some(Status::Active) => &self.active,
            Some(Status::Pending) => &self.pending,
            Some(Status::Archived) => &self.archived,
        };
        let total = matching.len();
        let start = usize::try_from(query.page.offset()).map_or(total, |offset| offset.min(total));
        let end = total.min(start + query.page.limit as usize);
        UserPage {
            users: Selection {
                all: &self.all,
                positions: &matching[start..end],
            },
            page: query.page.page,
            limit: query.page.limit,
            total: total as u64,
        }
    }
}
