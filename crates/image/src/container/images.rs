//! The images of deployments in the engine: which one a name means, and giving one up.

use bollard::query_parameters::{RemoveImageOptions, TagImageOptionsBuilder};

use super::Containers;
use super::error::{ContainerError, refused, status};

impl Containers {
    /// The id of an image; nothing if the engine has none of that name.
    ///
    /// # Errors
    /// When the engine does not answer.
    pub async fn image_id(&self, image: &str) -> Result<Option<String>, ContainerError> {
        match self.docker.inspect_image(image).await {
            Ok(found) => Ok(found.id),
            Err(error) if status(&error) == Some(404) => Ok(None),
            Err(error) => Err(refused(&format!("look at `{image}`"), error)),
        }
    }

    /// Gives a name to an image, `REPOSITORY:TAG`.
    ///
    /// # Errors
    /// When the engine refuses.
    pub async fn name_image(&self, id: &str, name: &str) -> Result<(), ContainerError> {
        let (repository, tag) = name.rsplit_once(':').unwrap_or((name, "latest"));
        let options = TagImageOptionsBuilder::default().repo(repository).tag(tag);
        let named = self.docker.tag_image(id, Some(options.build())).await;
        named.map_err(|error| refused(&format!("name `{name}`"), error))
    }

    /// Gives up an image that was built for a deployment: its name, if it still means this image, and
    /// the image itself, if it has no other. One that a container uses stays.
    pub async fn give_up_image(&self, name: &str, id: &str) {
        // What is not removed takes room and does no harm: that is not worth an error of a command
        // that did what it was asked.
        if let Ok(Some(meant)) = self.image_id(name).await
            && meant == id
        {
            let named = self
                .docker
                .remove_image(name, None::<RemoveImageOptions>, None);
            let _ = named.await;
        }
        let Ok(found) = self.docker.inspect_image(id).await else {
            return;
        };
        if found.repo_tags.unwrap_or_default().is_empty() {
            let nameless = self
                .docker
                .remove_image(id, None::<RemoveImageOptions>, None);
            let _ = nameless.await;
        }
    }
}
