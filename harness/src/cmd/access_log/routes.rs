//! Which requests belong together.

use std::collections::{HashMap, HashSet};

use super::Logged;

/// Different segments at one place, above which they are values of a parameter.
const MANY: usize = 20;
/// Segments of a path that are looked at.
const DEEPEST: usize = 32;
/// What stands for a parameter.
const PARAMETER: &str = "{}";

/// The route of each request: its method and path, with `{}` for what changes.
///
/// A segment is a value if it has a digit and isn't a version such as `v2`, or if more than 20 different segments
/// were requested at its place, after the same beginning.
pub(in crate::cmd) fn routes(requests: &[Logged]) -> Vec<String> {
    let path = |request: &Logged| {
        let path = request
            .target
            .split('?')
            .next()
            .unwrap_or_default()
            .to_owned();
        path.split('/')
            .skip(1)
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    let paths: Vec<Vec<String>> = requests.iter().map(path).collect();
    let mut routes: Vec<String> = (requests.iter())
        .map(|request| format!("{} ", request.method))
        .collect();
    for depth in 0..DEEPEST {
        let mut after: HashMap<String, HashSet<&str>> = HashMap::new();
        for (route, path) in routes.iter().zip(&paths) {
            if let Some(segment) = path.get(depth).filter(|segment| !is_value(segment)) {
                match after.get_mut(route) {
                    Some(seen) if seen.len() > MANY => {}
                    Some(seen) => drop(seen.insert(segment)),
                    None => drop(after.insert(route.clone(), [segment.as_str()].into())),
                }
            }
        }
        for (route, path) in routes.iter_mut().zip(&paths) {
            let Some(segment) = path.get(depth) else {
                continue;
            };
            let many = after.get(route).is_some_and(|seen| seen.len() > MANY);
            route.push('/');
            route.push_str(match many || is_value(segment) {
                true => PARAMETER,
                false => segment,
            });
        }
    }
    routes
}

fn is_value(segment: &str) -> bool {
    let is_version = |text: &str| {
        let digits = text.strip_prefix('v');
        digits.is_some_and(|rest| rest.split('.').all(|n| n.parse::<u16>().is_ok()))
    };
    segment.bytes().any(|byte| byte.is_ascii_digit()) && !is_version(segment)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(targets: &[String]) -> Vec<String> {
        let request = |target: &String| Logged {
            method: "GET".to_owned(),
            target: target.clone(),
            status: 200,
        };
        routes(&targets.iter().map(request).collect::<Vec<_>>())
    }

    #[test]
    fn a_segment_with_a_digit_is_a_value_but_a_version_is_not() {
        for (target, route) in [
            ("/", "GET /"),
            ("/api/v1/users?page=2", "GET /api/v1/users"),
            ("/api/v1.2/users/7/orders", "GET /api/v1.2/users/{}/orders"),
            ("/items/SKU-789", "GET /items/{}"),
            ("/v1x/vx", "GET /{}/vx"),
        ] {
            assert_eq!(of(&[target.to_owned()]), [route]);
        }
    }

    #[test]
    fn many_words_at_one_place_are_values() {
        let word = |n: u8| format!("/tags/{}/posts", char::from(b'A' + n));
        let few: Vec<String> = (0..20).map(word).collect();
        assert_eq!(of(&few)[3], "GET /tags/D/posts");
        let many: Vec<String> = (0..21).map(word).chain(["/about".to_owned()]).collect();
        let routes = of(&many);
        assert!(
            routes[..21]
                .iter()
                .all(|route| route == "GET /tags/{}/posts")
        );
        assert_eq!(routes[21], "GET /about");
    }
}
